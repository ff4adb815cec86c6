"""`Sender` over HTTP/1.1: which addresses it connects to, how it posts, which connections it keeps for a moment."""

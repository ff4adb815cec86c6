"""Account clocks and the work that is scheduled by them."""

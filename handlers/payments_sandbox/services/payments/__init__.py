"""The money operations and what follows from them."""

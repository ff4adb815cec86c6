"""The way of a request: `boundary.py`, `routing.py`, `operation.py`, in this order; `app.py` puts them together."""

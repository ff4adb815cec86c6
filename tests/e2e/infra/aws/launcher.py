"""Starts ministack as `python -m ministack` does. Run by the emulator's own interpreter, see `emulator.py`.

The one difference: the emulator hands events to functions, and takes their answers, by a small HTTP server that writes
headers and body in two packets. With Nagle's algorithm on, each would wait for the other's acknowledgement, 40 ms at a time.
"""

from socketserver import StreamRequestHandler

StreamRequestHandler.disable_nagle_algorithm = True

if __name__ == "__main__":
    from ministack.app import main  # type: ignore[import-not-found]  # of another environment

    main()

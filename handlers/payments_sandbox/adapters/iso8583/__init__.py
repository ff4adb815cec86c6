"""Network messages as bytes, by pyiso8583."""

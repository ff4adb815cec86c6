"""Where processes start: the command line, the embedded server, the Lambda handler."""

"""Text to numbers in machine code: `decimal` reads one number, the others read whole bodies."""

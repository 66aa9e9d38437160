"""HTTP and command line, in and out: nothing here knows how points are stored."""

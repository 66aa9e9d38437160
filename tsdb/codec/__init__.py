"""Arrays to bits and back, pure: Gorilla as the paper, and as kernels."""

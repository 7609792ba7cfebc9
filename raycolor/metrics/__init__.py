"""What a report measures: Fréchet distance, PSNR and colorfulness."""

"""What a report measures: Fréchet distances, PSNR, SSIM and colorfulness."""

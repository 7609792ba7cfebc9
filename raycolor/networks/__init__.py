"""The networks: generators from L to colours, and the discriminator that judges them."""

"""The networks: generators from L to a and b, and the discriminator that judges them."""

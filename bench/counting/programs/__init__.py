"""Programs that take stock of an image, in a container of it; `bench.counting.images` runs them."""

"""The work behind a request: plans, the pool of workers, speech to text and text to speech."""

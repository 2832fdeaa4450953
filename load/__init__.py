"""Many users at once on one server, over HTTP, each with conversations of their own."""

"""All that an owner has, as one file: gathered first, then written as JSON, Markdown or HTML."""

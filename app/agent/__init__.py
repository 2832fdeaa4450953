"""The responder that asks a language model, behind OpenAI's API or another that speaks it."""

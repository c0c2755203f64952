"""What tokens cost, by the list of prices that `genai-prices` brings along; nothing is fetched."""


def cost(model: str, read: int, written: int = 0, cached: int = 0) -> float | None:
    """US dollars for tokens of a model, as `provider:name` or a name; None where no price is known.

    Of several models, with commas between them, it is the first that counts.
    """
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - only where a price is asked for

    provider, _, name = model.partition(",")[0].strip().rpartition(":")
    usage = Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached or None)
    try:
        return float(calc_price(usage, model_ref=name, provider_id=provider or None).total_price)
    except (LookupError, ValueError):  # a model, or a provider, that is in no list
        return None

"""What tokens cost, by the list of prices that `genai-prices` brings along; nothing is fetched."""


def cost(models: str, read: int, written: int = 0, cached: int = 0) -> float | None:
    """US dollars for tokens of a model, as `provider:name` or a name; None where no price is known.

    Of several models, with commas between them, the dearest counts.
    """
    found = [_cost(each.strip(), read, written, cached) for each in models.split(",")]
    known = [each for each in found if each is not None]
    return max(known) if known and len(known) == len(found) else None


def _cost(model: str, read: int, written: int, cached: int) -> float | None:
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - only where a price is asked for

    provider, colon, name = model.partition(":")
    usage = Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached or None)
    try:
        price = calc_price(
            usage, model_ref=name if colon else model, provider_id=provider if colon else None
        )
    except (LookupError, ValueError):  # a model, or a provider, that is in no list
        return None
    return float(price.total_price)

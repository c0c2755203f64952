"""Summaries of code, from syntax trees or by a model, cached by content.

Start with `summaries.Summarizer`, `summary.SummaryResult`.
"""

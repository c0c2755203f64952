"""Submit change sets: commit them to a branch, push it, open a pull request.

Start with `submit.submit_changes`, `forge.Forge`.
"""

"""Change sets: parsed, reviewed, applied all or nothing, undone, kept until they are applied.

Start with `change_set.ChangeSet`, `transaction.apply`, `pending.apply`, `change_set_store.ChangeSetStore`.
"""

"""Pretraining prefixes: published by the run that trained them, taken over by the others.

    settings  which settings do not act on it
    key       what determines a prefix, and with it its name
    store     the files of this machine, and what other machines published
    prefix    the pretraining of one run: takes over, publishes

Two runs whose pretraining agrees in all that acts on it pass through the same states, however long
each of them pretrains and whatever it does afterwards. So the state at each report of a pretraining
is kept under a name made of all that determines it, and a run that comes to the report before finds
it there: with `determinism: exact` the same bits as if it had trained, reports included.
"""

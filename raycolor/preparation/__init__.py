"""Someone's photographs made into a prepared data set; no torch in it.

`run` is the whole; `sources` and `archives` list and read files, `workers` share them among
processes, `squares` decode one, `splits` say where it belongs, `spool` keeps rows until all are
there, `place` puts the result where it is wanted, `progress` and `closing` tell the user.
"""

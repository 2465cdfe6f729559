"""Every artifact, declared once: what it is made from, by which rule, how its jobs run, and where it is summed up."""

"""Jobs of one machine in forks of one process that has their libraries loaded: importing them is most of a small job."""

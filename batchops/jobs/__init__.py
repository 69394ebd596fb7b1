"""From a spec to a job that is planned and run: the only room that knows everything."""

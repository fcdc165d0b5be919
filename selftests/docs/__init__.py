"""The documents: their commands run, their options and links exist, their claims about others hold."""

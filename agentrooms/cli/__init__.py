"""The command line: thin verbs over the services below, made for people and for scripts."""

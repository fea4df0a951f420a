"""How the console writes dates: Django looks here for each language before it takes its own."""

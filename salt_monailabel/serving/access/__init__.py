"""Who may do what: the gate, the tokens it asks for, what a request may name, and the log of what was done."""

"""The list of what can be tried in the guest."""

# Name: its group, and what it does.
SCENARIOS = {}


def scenario(group):
    def add(function):
        SCENARIOS[function.__name__] = (group, function)
        return function
    return add

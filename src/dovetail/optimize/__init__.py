"""From a plan to a federated plan: rules, then cutting the fragments."""

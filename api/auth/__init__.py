"""Who may come in, as whom, for what: accounts, scopes, certificates; see api.auth.access."""

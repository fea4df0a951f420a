"""Who may call: API tokens with scopes, and the authentication classes that read them."""

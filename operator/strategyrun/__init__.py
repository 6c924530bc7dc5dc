"""finlab-sandbox operator: untrusted trading strategies in, trusted metrics out."""

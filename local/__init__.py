"""The stack on one machine: stand-ins for the Azure services, a Functions host, the demo. Never deployed."""

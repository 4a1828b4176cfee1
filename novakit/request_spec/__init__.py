"""What a request and its flavor ask for, in words of the API: groups of resources, device profiles, hints."""

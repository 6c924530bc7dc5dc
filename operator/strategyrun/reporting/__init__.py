"""What a run says to people: its documents rendered as text, as a picture and as a page. No cluster, no clock."""

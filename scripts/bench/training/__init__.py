"""What each step of training adds, and what a class head is made of."""

"""What several tests share: runs, files, pictures, servers and browsers made for them."""

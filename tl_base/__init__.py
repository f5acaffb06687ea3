"""What the book's packages stand on, and what has nothing to do with transfer: files, images, graphs of networks.

Nothing here imports `tl_helpers` or `tl_experiments`.
"""

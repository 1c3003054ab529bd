def imports():
    pass

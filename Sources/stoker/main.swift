print("stoker")

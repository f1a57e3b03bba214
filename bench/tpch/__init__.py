"""TPC-H split over two servers: Dovetail beside other ways to the same answers."""

module leaktrace.test/shop

go 1.19

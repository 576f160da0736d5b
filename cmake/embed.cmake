# cmake -DINPUT=FILE -DOUTPUT=FILE -P embed.cmake: the bytes of INPUT as a C array initialiser.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "${bytes}\n")

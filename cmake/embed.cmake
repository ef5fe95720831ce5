# Writes a file's bytes as a C array: cmake -D IN=file -D OUT=file.c -D NAME=array -D HEADER=h -P embed.cmake
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n    " bytes "${bytes}")
file(WRITE ${OUT} "#include \"${HEADER}\"\n\nconst unsigned char ${NAME}[] = {\n    ${bytes}\n};\n"
    "const size_t ${NAME}_size = ${size};\n")

# Writes the text of INPUT to OUTPUT as a C++ string literal. The raw strings end before the 64 KiB that a compiler
# must take, and are joined by the compiler.
file(READ "${INPUT}" text)
string(LENGTH "${text}" length)
set(literal "")
set(at 0)
while(at LESS length)
  string(SUBSTRING "${text}" ${at} 16000 piece)
  string(APPEND literal "R\"rondo(${piece})rondo\"\n")
  math(EXPR at "${at} + 16000")
endwhile()
file(WRITE "${OUTPUT}" "${literal}")

# The forward pass: tiny models against golden logits and against the float64 reference.
# Tiny models are written by tools/tiny_model.py before their test and removed after it.
set(work ${CMAKE_BINARY_DIR}/golden)
file(MAKE_DIRECTORY ${work})
add_library(golden_run STATIC run.c)
target_link_libraries(golden_run PUBLIC realm_flags rl_model PkgConfig::CMOCKA)
target_compile_definitions(golden_run PUBLIC REALM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
foreach(program tiny reference)
    add_executable(test_golden_${program} test_${program}.c)
    target_link_libraries(test_golden_${program} PRIVATE golden_run)
endforeach()

# golden_fixture(NAME FILES file... [COMMAND ...]...): the commands make the files, cleaned after NAME
function(golden_fixture name files)
    list(LENGTH ARGN n)
    set(i 0)
    foreach(line ${ARGN})
        separate_arguments(command UNIX_COMMAND "${line}")
        add_test(NAME ${name}.make${i} COMMAND ${command})
        set_tests_properties(${name}.make${i} PROPERTIES FIXTURES_SETUP ${name} LABELS golden
            TIMEOUT 300)
        math(EXPR i "${i} + 1")
    endforeach()
    add_test(NAME ${name}.clean COMMAND ${CMAKE_COMMAND} -E rm -f ${files})
    set_tests_properties(${name}.clean PROPERTIES FIXTURES_CLEANUP ${name} LABELS golden)
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED ${name} LABELS golden TIMEOUT 600)
endfunction()

list(JOIN REALM_TINY_MODEL " " tiny)
set(truth "${REALM_PYTHON3} -B ${CMAKE_SOURCE_DIR}/tools/reference.py")

# Gate (b). gemma3's bar is wider: the golden logits were made with a GELU rounded through f16.
foreach(row llama:32000:5e-5 llama3:128256:5e-5 qwen2:151936:5e-5 qwen3:151936:5e-5
        gemma3:32000:1e-3)
    string(REPLACE ":" ";" row ${row})
    list(GET row 0 arch)
    list(GET row 1 n_vocab)
    list(GET row 2 bar)
    add_test(NAME golden.tiny.${arch} COMMAND test_golden_tiny ${work}/tiny-${arch}.gguf
        ${CMAKE_CURRENT_SOURCE_DIR}/vectors/tiny-${arch}.json ${bar})
    golden_fixture(golden.tiny.${arch} ${work}/tiny-${arch}.gguf
        "${tiny} ${arch} ${work}/tiny-${arch}.gguf --n-vocab ${n_vocab}")
endforeach()

# Long sequences. gemma3: a window of 16, and in the 7-layer shape one layer that sees everything, with
# a rope base and a scaling of its own.
set(reference_llama llama 300)
set(reference_llama3 llama3 300)
set(reference_qwen2 qwen2 300)
set(reference_qwen3 qwen3 300)
set(reference_gemma3 gemma3 300 --set L=7 --set base=1e6 --set scale=8)
set(reference_gemma3_80 gemma3 80 --set L=7 --set base=50000 --set scale=2)
foreach(case llama llama3 qwen2 qwen3 gemma3 gemma3_80)
    list(GET reference_${case} 0 arch)
    list(GET reference_${case} 1 tokens)
    set(sets ${reference_${case}})
    list(REMOVE_AT sets 0 1)
    list(JOIN sets " " sets)
    set(file ${work}/reference-${case})
    add_test(NAME golden.reference.${case} COMMAND test_golden_reference ${arch} ${file}.gguf
        ${file}.bin)
    golden_fixture(golden.reference.${case} "${file}.gguf;${file}.bin"
        "${tiny} ${arch} ${file}.gguf --n-vocab 96 ${sets}"
        "${truth} ${arch} ${file}.bin --n-vocab 96 --tokens ${tokens} ${sets}")
endforeach()
